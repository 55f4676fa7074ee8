import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/a-killed-process-pins-nothing
claim SIGKILL ends the pins of a process before any change that comes later is judged.
rules P6
file f
process holder alice
process friend alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read
holder:   P = pin fd A
breaker:  truncate f 0 -> ETXTBSY
friend:   kill holder SIGKILL
breaker:  truncate f 0
lease A none
`)
