import { play } from '../../language/index.js'

export const scenario = play(`
scenario exclusive/a-pinned-lease-is-not-seized
claim A lease with pins cannot be revoked but by killing who uses the pages, which ends pins and lease.
rules X4 P6
file f
process holder bob
process owner alice
process admin root

holder:  fd = open f rdwr
holder:  A = lease fd exclusive read
holder:  P = pin fd A
owner:   revoke A -> EBUSY
owner:   revoke A kill -> EPERM
alive holder
admin:   revoke A -> EBUSY
admin:   revoke A kill
dead holder
lease A none
owner:   truncate f 0
`)
