import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/a-holder-that-never-answers
claim A lease that is not given up in time is revoked; it stays listed, and poll says POLLERR, until it is released.
rules B5 B1
break-time 600
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
breaker:  t = truncate f 0 -> waits
holder:   poll fd -> ok PRI
deadline
t -> ok
told A break by breaker, A revoked
lease A revoked owners holder
holder:   poll fd -> ok ERR
breaker:  truncate f 100
breaker:  truncate f 0
told nothing
holder:   release fd A
holder:   poll fd -> ok nothing
lease A none
`)
