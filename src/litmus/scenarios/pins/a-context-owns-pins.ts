import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/a-context-owns-pins
claim Pins of a context live until its last copy is closed, whoever made them and whoever has it.
rules P2 P5 P6
file f
process holder alice
process device alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read
holder:   c = context
holder:   P = pin c A -> ok 1
holder:   send c to device as c
holder:   exit
lease A zombie pins 1 owners nobody
breaker:  truncate f 0 -> ETXTBSY
device:   d = dup c
device:   close c
breaker:  truncate f 0 -> ETXTBSY
device:   close d
lease A none
breaker:  truncate f 0
`)
