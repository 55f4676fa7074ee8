import { play } from '../../language/index.js'

export const scenario = play(`
scenario reports/events-tell-the-story
claim Every grant, change, refusal, break, pin and end of a lease is one event, in that order of things.
rules R3 X3 B2
break-time 10000
file f
process holder alice
process breaker bob

holder:   fd = open f rdwr
holder:   A = lease fd exclusive write
told all A granted
holder:   P = pin fd A
told all A pinned
breaker:  truncate f 0 -> ETXTBSY
told all A refused by breaker
holder:   unpin fd P
told all A unpinned
holder:   change fd A normal read
told all A downgraded
breaker:  t = truncate f 0 -> waits
told all A break by breaker
holder:   release fd A
t -> ok
told all A released
`)
