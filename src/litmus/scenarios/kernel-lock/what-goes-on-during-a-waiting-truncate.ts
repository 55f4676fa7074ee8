import { play } from '../../language/index.js'

export const scenario = play(`
scenario kernel-lock/what-goes-on-during-a-waiting-truncate
claim While a truncate waits for a lease, opening, reading, looking at a mapping, poll, query, leases elsewhere and close go on.
rules B1
break-time 10000
file f
file g
process holder alice
process breaker bob
process other bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
holder:   m = map fd
breaker:  t = truncate f 4096 -> waits
other:    x = open f rdwr
other:    read x 0 100 -> ok 100 data
holder:   touch m 4096 -> ok data
holder:   poll fd -> ok PRI
other:    query x truncate -> EAGAIN
other:    B = lease x normal read 0..4096
other:    close x
other:    truncate g 0
t still waits
holder:   release fd A
t -> ok
`)
