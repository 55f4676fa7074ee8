import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/pins-after-the-last-close
claim A lease with pins outlives its last descriptor as a zombie, and ends with its last pin.
rules P5 P6
question What becomes of pins when the descriptor is closed?
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read
holder:   P = pin fd A 0..4096
holder:   close fd
told A zombie
lease A zombie pins 1 owners holder
breaker:  truncate f 4096 -> ETXTBSY
breaker:  g = open f rdwr
breaker:  punch g 4096..8192 -> ETXTBSY
holder:   h = open f rdonly
holder:   unpin h P
lease A none
breaker:  truncate f 0
`)
