import { play } from '../../language/index.js'

export const scenario = play(`
scenario owners/a-lease-without-owners-still-protects
claim An owner that resigns is told no more, and the lease protects as before.
rules L5 L7 R1
break-time 600
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
holder:   own fd A remove self
holder:   own fd A remove self -> ENOENT
lease A active owners nobody
breaker:  t = truncate f 0 -> waits
t still waits
deadline
t -> ok
lease A revoked
`)
