import { mkdirSync } from 'node:fs'
import path from 'node:path'
import webpack from 'webpack'

mkdirSync('out-webpack', { recursive: true })
const config = {
  mode: 'production',
  target: 'node20',
  entry: './lambda.mjs',
  output: { path: path.resolve('out-webpack'), filename: 'handler.cjs', library: { type: 'commonjs2' } },
}
webpack(config, (error, stats) => {
  if (error) throw error
  if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString())
})
