import { play } from '../../language/index.js'

export const scenario = play(`
scenario modes/a-writer-is-alone
claim A write lease gets on with no lease of another open file on the same bytes, and with all on others.
rules L3 L6
file f
process reader alice
process writer bob

reader:  r = open f rdonly
reader:  R = lease r normal read 0..4096
writer:  w = open f rdwr
writer:  W = lease w normal write -> EAGAIN
writer:  W = lease w normal write 4096..
reader:  lease2 = lease r normal read 4096..8192 -> EAGAIN
`)
