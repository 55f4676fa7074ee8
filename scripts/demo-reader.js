/**
 * The program that the demonstration protects: it maps a file, closes the descriptor, and reads the mapping
 * over and over, as a model server or a database does. `node scripts/demo-reader.js FILE`
 *
 * It writes one JSON object per line: `{"mapped":bytes,"control":"/run/holdfast/0"|null}` when the file is
 * mapped, then `{"pass":n,"sha256":"..."}` for each pass over the whole mapping. When its standard input
 * ends, it makes one more complete pass, marks it `"last":true` and exits.
 */
import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { mapForReading } from '../dist/linux/mapping.js'
import { ioctl } from '../dist/linux/raw.js'

/** One view can hold at most 4 GiB. */
const WINDOW_BYTES = 2 ** 30
const CHUNK_BYTES = 2 ** 20

/** INFO: version, features, mount, then the control directory as 112 bytes of text. */
const HOLDFAST_INFO = 0x80804808
const INFO_BYTES = 128
const CONTROL_OFFSET = 16

/** @param {unknown} message */
function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

/**
 * Where the control directory of the mount is that this file belongs to; null if it is not Holdfast's.
 * @param {number} fd
 */
function controlDirectory(fd) {
  const info = Buffer.alloc(INFO_BYTES)
  if (ioctl(fd, HOLDFAST_INFO, info) < 0) return null
  const text = info.subarray(CONTROL_OFFSET)
  return text.subarray(0, text.indexOf(0)).toString()
}

/** @param {string} file */
function mapWhole(file) {
  const fd = openSync(file, 'r')
  const { size } = fstatSync(fd)
  const windows = []
  for (let offset = 0; offset < size; offset += WINDOW_BYTES) {
    windows.push(mapForReading(fd, offset, Math.min(WINDOW_BYTES, size - offset)))
  }
  const control = controlDirectory(fd)
  closeSync(fd)
  return { windows, size, control }
}

/**
 * The pauses between chunks let the end of standard input be noticed.
 * @param {Uint8Array[]} windows
 */
async function checksum(windows) {
  const hash = createHash('sha256')
  for (const window of windows) {
    for (let offset = 0; offset < window.length; offset += CHUNK_BYTES) {
      hash.update(window.subarray(offset, offset + CHUNK_BYTES))
      await setImmediate()
    }
  }
  return hash.digest('hex')
}

let mayEnd = false
process.stdin.on('end', () => {
  mayEnd = true
})
process.stdin.resume()

const { windows, size, control } = mapWhole(process.argv[2] ?? '')
say({ mapped: size, control })
for (let pass = 1; ; pass++) {
  const last = mayEnd
  const sha256 = await checksum(windows)
  say({ pass, sha256, ...(last ? { last } : {}) })
  if (last) break
}
