import { play } from '../../language/index.js'

export const scenario = play(`
scenario identity/a-breaking-lease-cannot-be-raised
claim Who is asked to let go cannot raise the lease instead, neither its level nor its mode.
rules L4 B1
break-time 10000
file f
process holder alice
process breaker bob

holder:   fd = open f rdwr
holder:   A = lease fd normal read
breaker:  t = truncate f 0 -> waits
holder:   change fd A exclusive read -> EAGAIN
holder:   change fd A normal write -> EAGAIN
lease A breaking normal read
holder:   release fd A
t -> ok
`)
