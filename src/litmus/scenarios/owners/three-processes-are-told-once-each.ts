import { play } from '../../language/index.js'

export const scenario = play(`
scenario owners/three-processes-are-told-once-each
claim Of three processes with one descriptor, each is told once, in the way it chose.
rules L5 B2
break-time 10000
file f
process one alice
process two alice
process three alice
process breaker bob

one:      fd = open f rdonly
one:      A = lease fd normal read
one:      own fd A add self SIGUSR1 1
one:      send fd to two as fd
one:      send fd to three as fd
two:      own fd A add self SIGUSR2 2
three:    own fd A add self SIGIO 3
breaker:  t = truncate f 0 -> waits
told A break by breaker, one SIGUSR1 1, two SIGUSR2 2, three SIGIO 3
one:      poll fd -> ok PRI
two:      poll fd -> ok PRI
three:    poll fd -> ok PRI
three:    release fd A
t -> ok
told nothing
`)
