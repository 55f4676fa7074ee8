/**
 * Bundles the command line into dist/holdfast.cjs and the io worker, if it is there, into dist/io-worker.cjs.
 *
 * One CommonJS file starts in about 27 ms where the same modules, loaded one by one as ES modules, take 43:
 * every `holdfast run` pays this before its command starts.
 */
import { existsSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const dist = fileURLToPath(new URL('../dist/', import.meta.url))

const BUNDLES = [
  { input: 'cli/main.js', output: 'holdfast.cjs' },
  { input: 'passthrough/io-worker.js', output: 'io-worker.cjs' },
]

for (const { input, output } of BUNDLES) {
  if (!existsSync(dist + input)) {
    rmSync(dist + output, { force: true })
    continue
  }
  const bundle = await rolldown({
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
  await bundle.write({ file: dist + output, format: 'cjs', codeSplitting: false, sourcemap: true })
  await bundle.close()
}
