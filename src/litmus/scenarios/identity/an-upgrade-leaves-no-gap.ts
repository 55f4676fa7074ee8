import { play } from '../../language/index.js'

export const scenario = play(`
scenario identity/an-upgrade-leaves-no-gap
claim A lease that is raised in place keeps its id and protects at every moment.
rules L4 X1
question Can a lease be upgraded without a gap in which somebody else truncates?
break-time 10000
file f
process holder alice
process breaker bob

holder:   fd = open f rdwr
holder:   A = lease fd normal read
holder:   change fd A exclusive read
breaker:  truncate f 0 -> ETXTBSY
holder:   change fd A exclusive write
lease A active exclusive write owners holder
breaker:  truncate f 0 -> ETXTBSY
told A refused by breaker, A refused by breaker
holder:   change fd A normal read
breaker:  t = truncate f 0 -> waits
holder:   release fd A
t -> ok
`)
