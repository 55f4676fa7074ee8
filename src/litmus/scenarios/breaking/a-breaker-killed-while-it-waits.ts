import { play } from '../../language/index.js'

export const scenario = play(`
scenario breaking/a-breaker-killed-while-it-waits
claim A breaker that is killed while it waits dies at once, the break goes on, and the file is whole.
rules B7
break-time 600
file f
process holder alice
process breaker bob
process friend bob

holder:   fd = open f rdonly
holder:   A = lease fd normal read
breaker:  t = truncate f 0 -> waits
friend:   kill breaker SIGKILL
t -> killed SIGKILL
dead breaker
lease A breaking
deadline
lease A revoked
holder:   read fd 0 8192 -> ok 8192 data
`)
