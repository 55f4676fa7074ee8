import { play } from '../../language/index.js'

export const scenario = play(`
scenario reach/fuse-refuses-to-collapse
claim Changes that move bytes about are refused by the kernel, whether there is a lease or not.
rules L1
file f
process user alice

user:  fd = open f rdwr
user:  collapse fd 0..4096 -> EOPNOTSUPP
user:  insert fd 0..4096 -> EOPNOTSUPP
user:  unshare fd 0..4096 -> EOPNOTSUPP
user:  read fd 0 8192 -> ok 8192 data
`)
