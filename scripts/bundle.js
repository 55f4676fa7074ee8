/**
 * Bundles the command line and, if it is there, the io worker into one CommonJS file each.
 *
 * One CommonJS file starts in about 27 ms where the same modules, loaded one by one as ES modules, take 43:
 * every `holdfast run` pays this before its command starts. For the same reason the command line gets a code
 * cache (scripts/start.cjs).
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const dist = fileURLToPath(new URL('../dist/', import.meta.url))
const start = fileURLToPath(new URL('./start.cjs', import.meta.url))
const cache = `${dist}holdfast.bundle.cjs.cache`
const makeCache = fileURLToPath(new URL('./make-code-cache.cjs', import.meta.url))

/** @param {string} input @param {string} output */
async function bundle(input, output) {
  const build = await rolldown({
    input: dist + input,
    platform: 'node',
    // koffi finds its shared library beside its own files, so it must stay where npm put it.
    external: ['koffi'],
    onLog(level, log) {
      if (level !== 'warn') return
      // What is merely suspicious in a module is broken in a bundle: an import that does not resolve, say.
      throw new Error(`${output}: ${log.message}`)
    },
  })
  await build.write({ file: dist + output, format: 'cjs', codeSplitting: false, sourcemap: true })
  await build.close()
}

/** Runs the bundle once and keeps what V8 has compiled for it. */
function makeCodeCache() {
  copyFileSync(start, `${dist}holdfast.cjs`)
  const run = spawnSync(process.execPath, [makeCache, '--help'], { encoding: 'utf8', timeout: 60_000 })
  if (run.status !== 0 || !existsSync(cache) || statSync(cache).size === 0) {
    throw new Error(`no code cache: ${run.stderr || run.stdout || run.signal}`)
  }
}

// First of all: V8 tells an old cache from a new bundle by little more than its length.
rmSync(cache, { force: true })
await bundle('cli/main.js', 'holdfast.bundle.cjs')
makeCodeCache()
if (existsSync(`${dist}passthrough/io/worker.js`)) await bundle('passthrough/io/worker.js', 'io-worker.cjs')
