import { play } from '../../language/index.js'

export const scenario = play(`
scenario pins/the-file-stays
claim After unlink and the last close, pinned bytes are there until the last pin ends.
rules P7 P5
file f
process holder alice
process other bob

holder:  fd = open f rdonly
holder:  A = lease fd exclusive read
holder:  P = pin fd A
holder:  m = map fd
other:   unlink f
holder:  close fd
other:   g = open f rdonly -> ENOENT
lease A pins 1
holder:  touch m 4096 -> ok data
holder:  exit
lease A none
`)
