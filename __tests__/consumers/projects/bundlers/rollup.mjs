import { nodeResolve } from '@rollup/plugin-node-resolve'
import { rollup } from 'rollup'

const bundle = await rollup({
  input: { handler: 'lambda.mjs' },
  plugins: [nodeResolve()],
  onLog(level, { message }) {
    if (level === 'warn') throw new Error(message)
  },
})
await bundle.write({ dir: 'out-rollup', entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs' })
