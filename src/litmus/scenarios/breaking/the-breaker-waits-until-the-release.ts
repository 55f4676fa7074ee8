import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/the-breaker-waits-until-the-release
claim A truncate that meets a normal lease waits, and goes ahead when the lease is released.
rules B1 B3
break-time 10000
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
holder:   m = map fd
breaker:  t = truncate f 0 -> waits
told A break by breaker
lease A breaking
holder:   touch m 4096 -> ok data
holder:   unmap m
t still waits
holder:   release fd A
t -> ok
holder:   read fd 0 1 -> ok 0
`)
