import { play } from '../../language/index.js'

export const scenario = play(`
scenario owners/a-parent-can-be-made-owner
claim A child can make its parent an owner, and only a process that has the descriptor can be asked to.
rules L5
break-time 10000
file f
process shell alice
process breaker bob

shell:    fd = open f rdonly
shell:    fork child
child:    A = lease fd normal read
lease A owners child
child:    own fd A add parent SIGUSR2 9
lease A owners child shell
child:    exit
lease A owners shell
breaker:  t = truncate f 0 -> waits
told A break by breaker, shell SIGUSR2 9
shell:    release fd all
t -> ok
`)
