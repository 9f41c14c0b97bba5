import { build } from 'esbuild'

const [format, extension] = process.argv.slice(2)
await build({
  entryPoints: ['lambda.mjs'],
  outfile: `out-${format}/handler.${extension}`,
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node20',
  format,
})
