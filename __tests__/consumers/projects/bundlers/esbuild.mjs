// An ESM bundle needs the banner, because CommonJS packages of got require Node's modules.
import { build } from 'esbuild'

const banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)"
const [format, extension] = process.argv.slice(2)
await build({
  entryPoints: ['lambda.mjs'],
  outfile: `out-${format}/handler.${extension}`,
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node20',
  format,
  ...(format === 'esm' && { banner: { js: banner } }),
})
