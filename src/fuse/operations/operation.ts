import { assert } from '../../lib/assert.js'
import { Errno } from '../../lib/errno.js'
import { type Answer, type Failure, type FuseFileSystem, type LostState, OK, type Ok } from '../api.js'
import type { RequestBody } from '../body.js'
import type { DirectoryBuffer } from '../directory.js'
import type { ReplyBuffer } from '../reply-buffer.js'
import type { Request } from '../request.js'

/** What an operation needs of its session. */
export interface Context {
  /** The size of fuse_setxattr_in that INIT agreed on. */
  setxattrInSize(): number
  initialize(body: RequestBody): Answer<InitReply>
  takeDirectory(sizeMax: number, plus: boolean): DirectoryBuffer
}

/** `struct fuse_init_out`, already encoded. */
export interface InitReply {
  readonly bytes: Buffer
}

/**
 * One operation that the kernel takes a reply for. `call` decodes the arguments (ProtocolError is answered with
 * its errno) and asks the file system. `encode` and `created` are methods, so that one table can hold operations
 * with different values.
 */
export interface Operation<T> {
  call(fs: FuseFileSystem, request: Request, body: RequestBody, context: Context): Answer<T>
  encode(reply: ReplyBuffer, value: T, request: Request): void
  /** What the file system must undo if the kernel does not take this answer. */
  created?(value: T, request: Request): LostState
}

/** Infers the value that `call` and `encode` have in common. */
export function operation<T>(definition: Operation<T>): Operation<T> {
  return definition
}

/** The answer to an operation that the file system has no method for. */
export const NOT_IMPLEMENTED: Failure = -Errno.ENOSYS

/** An operation that is answered with the header alone. */
export function emptyOperation(call: Operation<Ok>['call']): Operation<Ok> {
  return {
    call,
    encode(_reply, value) {
      assert(value === OK, 'neither OK nor an errno was answered')
    },
  }
}
