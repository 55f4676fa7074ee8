import { play } from '../../language/index.js'

export const scenario = play(`
scenario conflicts/nobody-overtakes-a-waiting-change
claim No lease is granted on bytes that somebody is waiting to take away.
rules L6 B4
break-time 10000
file f
process holder alice
process late alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
breaker:  t = truncate f 4096 -> waits
late:     g = open f rdonly
late:     B = lease g exclusive read -> EAGAIN
late:     C = lease g exclusive read 0..4096
holder:   release fd A
t -> ok
late:     B = lease g exclusive read
`)
