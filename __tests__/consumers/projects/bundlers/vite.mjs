import { build } from 'vite'

await build({
  configFile: false,
  build: { ssr: 'lambda.mjs', outDir: 'out-vite', rollupOptions: { output: { entryFileNames: 'handler.mjs' } } },
  ssr: { noExternal: true },
})
