import { VKitClient } from '@video-io/videokit-nodejs'
import { createTokenHandler } from '@video-io/videokit-nodejs/handlers'
import { Controller, Get, Module, Post, Req, Res, type OnApplicationShutdown } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import type { Request, Response } from 'express'
import assert from 'node:assert/strict'
import 'reflect-metadata'

const identity = process.env.CONSUMER ?? ''

@Controller('token')
class TokenController implements OnApplicationShutdown {
  readonly #handler

  constructor(private readonly vkit: VKitClient) {
    this.#handler = createTokenHandler(vkit, { authenticate: () => identity })
  }

  @Get()
  mint() {
    return this.vkit.getSessionToken(identity)
  }

  @Post()
  handle(@Req() request: Request, @Res() response: Response) {
    return this.#handler(request, response)
  }

  onApplicationShutdown() {
    return this.vkit.close()
  }
}

@Module({ controllers: [TokenController], providers: [{ provide: VKitClient, useFactory: () => new VKitClient() }] })
class AppModule {}

async function main() {
  const app = await NestFactory.create(AppModule, { logger: ['error'] })
  await app.listen(0, '127.0.0.1')
  for (const method of ['GET', 'POST']) {
    const response = await fetch(`${await app.getUrl()}/token`, { method })
    const token = await response.json()
    assert.equal(token.identity, identity)
  }
  await app.close()
}

void main()
