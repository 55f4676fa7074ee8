import { play } from '../../language/index.js'

export const scenario = play(`
scenario exclusive/who-may-seize
claim Root can revoke a lease; who does not own the file cannot, even as an owner of the lease or as who took it.
rules X4
file f of root
process holder bob
process friend alice
process admin root

holder:  fd = open f rdwr
holder:  A = lease fd exclusive read
friend:  revoke A -> ENOENT
holder:  revoke A -> EPERM
holder:  send fd to friend as g
friend:  own g A add self
friend:  revoke A -> EPERM
friend:  truncate f 0 -> EDEADLK
admin:   revoke A
told A refused by friend, A revoked
friend:  truncate f 0
lease A revoked
`)
