/**
 * Every struct of FUSE 7.45 (include/uapi/linux/fuse.h), each declared once, field for field. Tested against
 * `test/data/fuse-protocol.json`.
 */
export * from './structs/common.js'
export * from './structs/replies.js'
export * from './structs/requests.js'
export * from './structs/uring.js'
