import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/owners-are-killed-at-the-deadline
claim Under on-timeout=kill the owners of a lease are killed at its deadline, and the change goes ahead.
rules B5
break-time 600
on-timeout kill
file f
process holder alice
process friend bob
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
breaker:  t = truncate f 0 -> waits
alive holder
deadline
t -> ok
dead holder
alive friend
lease A none
`)
