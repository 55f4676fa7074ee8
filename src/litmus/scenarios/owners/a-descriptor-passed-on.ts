import { play } from '../../language/index.js'

export const scenario = play(`
scenario owners/a-descriptor-passed-on
claim Who is sent a descriptor is no owner until it makes itself one, and then is told like the first.
rules L5 B2
question Who is told when the descriptor of a lease was passed on to another process?
break-time 10000
file f
process holder alice
process friend alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
holder:   send fd to friend as g
lease A owners holder
friend:   own g A add self SIGUSR1 7
lease A owners friend holder
breaker:  t = truncate f 0 -> waits
told A break by breaker, friend SIGUSR1 7
friend:   poll g -> ok PRI
holder:   poll fd -> ok PRI
friend:   release g A
t -> ok
`)
