/** Files and directories that rows are measured on. Each is made once, and shared by all rows that need it. */
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import { call, dropNames } from '../machine.js'

/** @typedef {import('../world.js').World} World */
/** @typedef {import('./row.js').Scale} Scale */

export const SMALL_FILE = 'small'
export const SMALL_FILES = 'small-files'
export const BIG_FILE = 'big'
const SMALL_BYTES = 4096
/** `metadata read` goes through so many. */
const SMALL_COUNT = 1000
const FILES_PER_DIRECTORY = 100

/** The name that the measuring programs give to a file. @param {number} index */
const fileName = (index) => `f${String(index).padStart(6, '0')}`

/** @param {World} _world @param {string} backing */
export function prepareSmallFile(_world, backing) {
  const file = path.join(backing, SMALL_FILE)
  if (!existsSync(file)) writeFileSync(file, 'x'.repeat(SMALL_BYTES))
}

/** @param {string} directory @param {number} count @param {string} content */
export function makeFlatDirectory(directory, count, content) {
  if (existsSync(directory)) return
  mkdirSync(directory)
  for (let index = 0; index < count; index++) {
    writeFileSync(path.join(directory, fileName(index)), content)
  }
}

/** @param {World} _world @param {string} backing @param {Scale} scale */
export function prepareSmallFiles(_world, backing, scale) {
  const count = Math.max(SMALL_COUNT, scale.coldCount)
  makeFlatDirectory(path.join(backing, SMALL_FILES), count, 'x'.repeat(SMALL_BYTES))
}

/** @param {World} _world @param {string} backing @param {Scale} scale */
export function prepareBigFile(_world, backing, scale) {
  const file = path.join(backing, BIG_FILE)
  if (existsSync(file)) return
  const fd = openSync(file, 'w')
  const block = Buffer.alloc(2 ** 20, 'h')
  for (let index = 0; index < scale.bigMib; index++) writeSync(fd, block)
  closeSync(fd)
}

/**
 * A tree of files with a hundred in each directory.
 * @param {string} tree
 * @param {number} count
 * @param {(index: number) => string} content
 */
export function makeTree(tree, count, content) {
  for (let index = 0; index < count; index++) {
    const directory = path.join(tree, `directory-${Math.floor(index / FILES_PER_DIRECTORY)}`)
    if (index % FILES_PER_DIRECTORY === 0) mkdirSync(directory, { recursive: true })
    writeFileSync(path.join(directory, `file-${index}`), content(index))
  }
}

/** Dirty pages must not be written out while something else is measured. @param {World} world */
export function writeOut(world) {
  call('sync', ['-f', world.backings[0] ?? '/'])
}

/** Nobody remembers names any more, and nothing is left to be written. @param {World} world */
export async function startAfresh(world) {
  writeOut(world)
  await dropNames()
}
