import { play } from '../../language/index.js'

export const scenario = play(`
scenario exclusive/who-may-seize
claim The owner of the file and root can revoke a lease; others cannot, and its change goes ahead then.
rules X4
file f
process holder bob
process owner alice
process admin root

holder:  fd = open f rdwr
holder:  A = lease fd exclusive read
holder:  revoke A -> EPERM
owner:   revoke A
lease A revoked
holder:  release fd A
holder:  B = lease fd exclusive read
admin:   revoke B
told A revoked, B revoked
admin:   truncate f 0
`)
