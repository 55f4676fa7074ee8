/**
 * In which minor version of the protocol each constant came, as the changelog at the top of fuse.h has it. What is
 * not listed is older than OLDEST_MINOR_VERSION: every kernel that is accepted has it. Opcodes carry theirs in
 * their rows (opcodes.ts).
 */
import { type FOPEN_FLAGS, type INIT_FLAGS, type NOTIFY_CODES, OLDEST_MINOR_VERSION } from './flags.js'

type Minors<T> = Readonly<Partial<Record<keyof T, number>>>

const INIT_FLAG_MINORS: Minors<typeof INIT_FLAGS> = {
  FUSE_SUBMOUNTS: 32,
  FUSE_HANDLE_KILLPRIV_V2: 33,
  FUSE_SETXATTR_EXT: 33,
  FUSE_INIT_EXT: 36,
  FUSE_SECURITY_CTX: 36,
  FUSE_HAS_INODE_DAX: 36,
  FUSE_CREATE_SUPP_GROUP: 38,
  FUSE_HAS_EXPIRE_ONLY: 38,
  FUSE_DIRECT_IO_ALLOW_MMAP: 39,
  FUSE_PASSTHROUGH: 40,
  FUSE_NO_EXPORT_SUPPORT: 40,
  FUSE_HAS_RESEND: 40,
  FUSE_ALLOW_IDMAP: 41,
  FUSE_OVER_IO_URING: 42,
  FUSE_REQUEST_TIMEOUT: 43,
}

const FOPEN_FLAG_MINORS: Minors<typeof FOPEN_FLAGS> = {
  FOPEN_NOFLUSH: 35,
  FOPEN_PARALLEL_DIRECT_WRITES: 38,
  FOPEN_PASSTHROUGH: 40,
}

const NOTIFY_CODE_MINORS: Minors<typeof NOTIFY_CODES> = {
  FUSE_NOTIFY_RESEND: 40,
  FUSE_NOTIFY_INC_EPOCH: 44,
  FUSE_NOTIFY_PRUNE: 45,
}

/** The oldest minor that has it, among those that are accepted. */
export function minorOf(
  name: keyof typeof INIT_FLAGS | keyof typeof FOPEN_FLAGS | keyof typeof NOTIFY_CODES,
): number {
  const minors: Readonly<Record<string, number | undefined>> = {
    ...INIT_FLAG_MINORS,
    ...FOPEN_FLAG_MINORS,
    ...NOTIFY_CODE_MINORS,
  }
  return minors[name] ?? OLDEST_MINOR_VERSION
}
