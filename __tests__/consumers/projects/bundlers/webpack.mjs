import { mkdirSync } from 'node:fs'
import path from 'node:path'
import webpack from 'webpack'

const [entry, out] = process.argv.slice(2)

mkdirSync(out, { recursive: true })
const config = {
  mode: 'production',
  target: 'node20',
  entry,
  output: { path: path.resolve(out), filename: 'handler.cjs', library: { type: 'commonjs2' } },
}
webpack(config, (error, stats) => {
  if (error) throw error
  if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString())
})
