import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/a-lease-may-ask-for-less-time
claim A lease that asked for a shorter break time than the mount's is revoked after that.
rules B1 B5
break-time 20000
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read break-time 500
breaker:  t = truncate f 0 -> waits
pass 700
t -> ok
lease A revoked
`)
