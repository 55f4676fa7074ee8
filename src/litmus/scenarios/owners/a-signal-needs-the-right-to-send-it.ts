import { play } from '../../language/index.js'

export const scenario = play(`
scenario owners/a-signal-needs-the-right-to-send-it
claim A signal that its registrar may not send is not sent; all else that tells of the break is.
rules L5 B2
break-time 10000
file f
process shell root
process breaker bob

shell:    fd = open f rdwr
shell:    A = lease fd normal read
shell:    fork child
child:    become bob
child:    own fd A add parent SIGUSR1 5
breaker:  t = truncate f 0 -> waits
told A break by breaker
shell:    poll fd -> ok PRI
shell:    release fd A
t -> ok
`)
