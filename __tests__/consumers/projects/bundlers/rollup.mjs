import commonjs from '@rollup/plugin-commonjs'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { rollup } from 'rollup'

const [entry, out] = process.argv.slice(2)

const bundle = await rollup({
  input: { handler: entry },
  plugins: [nodeResolve(), commonjs()],
  onLog(level, { code, message }) {
    // The chunks for `require` share helpers of jose with each other.
    if (level === 'warn' && code !== 'CIRCULAR_DEPENDENCY') throw new Error(message)
  },
})
await bundle.write({ dir: out, entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs' })
