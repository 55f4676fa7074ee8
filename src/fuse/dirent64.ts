/** `struct linux_dirent64`: the entries of a directory as getdents64(2) returns them. */

const PADDING = 8

/** Where its fields are. `length` is that of the whole entry, which is filled up to a multiple of 8 bytes. */
export const DIRENT64 = { ino: 0, off: 8, length: 16, type: 18, name: 19 } as const

/** How long an entry of getdents64(2) is, up to the next one. */
export function dirent64Length(list: Uint8Array, at: number): number {
  return (list[at + DIRENT64.length] ?? 0) | ((list[at + DIRENT64.length + 1] ?? 0) << 8)
}

/** How long its name is, in bytes, without the NULs that fill it up. */
export function dirent64NameLength(list: Uint8Array, at: number): number {
  const start = at + DIRENT64.name
  // The first NUL is among the last eight bytes.
  let end = Math.max(start, at + dirent64Length(list, at) - PADDING)
  while (list[end] !== 0 && end < list.length) end++
  return end - start
}
