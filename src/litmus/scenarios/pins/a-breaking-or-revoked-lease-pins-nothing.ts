import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/a-breaking-or-revoked-lease-pins-nothing
claim A lease that is no longer active, or not exclusive, pins nothing more.
rules P1 B5
break-time 10000
file f
process holder alice
process breaker bob
process admin root

holder:   fd = open f rdonly
holder:   A = lease fd normal read
breaker:  t = truncate f 0 -> waits
holder:   P = pin fd A -> EPERM
holder:   release fd A
t -> ok
holder:   B = lease fd exclusive read
admin:    revoke B
holder:   P = pin fd B -> EPERM
`)
