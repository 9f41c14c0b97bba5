import { VKitClient } from '@video-io/videokit-nodejs'

new VKitClient({ appSecret: 'secret' })
