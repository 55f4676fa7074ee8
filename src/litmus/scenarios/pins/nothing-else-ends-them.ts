import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/nothing-else-ends-them
claim Neither munmap nor close nor rename nor unlink nor exec ends a pin.
rules P8 P5
file f
process holder alice
process breaker bob

holder:   fd = open f rdonly
holder:   A = lease fd exclusive read
holder:   P = pin fd A
holder:   m = map fd
holder:   unmap m
breaker:  rename f
holder:   close fd
breaker:  g = open f rdwr
breaker:  unlink f
holder:   exec
lease A zombie pins 1
breaker:  ftruncate g 0 -> ETXTBSY
`)
