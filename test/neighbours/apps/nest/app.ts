import "reflect-metadata";
import { Body, Controller, Get, HttpCode, type INestApplication, Module, Post, Req, Session } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter } from "@nestjs/platform-express";
import { FastifyAdapter } from "@nestjs/platform-fastify";
import { type SessionOptions, session } from "sojourn";

/** An application as `nest new` begins one, with a controller for each platform. The drop-in's session has no methods for users. */
interface VisitorSession {
  visits?: unknown;
  cart?: string[];
  userId?: string | null;
  login?(userId: string): Promise<void>;
  logout?(): Promise<void>;
}

function count(session: VisitorSession): string {
  const visits = Number(session.visits ?? 0) + 1;
  session.visits = visits;
  return String(visits);
}

/** Goes on with the session that the handler was given, after the login too. */
async function login(session: VisitorSession, name: string): Promise<object> {
  if (session.login === undefined) session.userId = name;
  else await session.login(name);
  session.cart = [...(session.cart ?? []), "gift"];
  return { user: session.userId, cart: session.cart };
}

function fail(session: VisitorSession): string {
  session.visits = 1n;
  return "saved";
}

/** https://docs.nestjs.com/techniques/session: `@Session()`, as with express-session. */
@Controller()
class ExpressController {
  @Get("count")
  count(@Session() session: VisitorSession): string {
    return count(session);
  }

  @Post("login")
  @HttpCode(200)
  login(@Session() session: VisitorSession, @Body() body: { name: string }): Promise<object> {
    return login(session, body.name);
  }

  @Post("logout")
  @HttpCode(200)
  async logout(@Session() session: VisitorSession): Promise<object> {
    await session.logout?.();
    return {};
  }

  @Get("me")
  me(@Req() req: { session: VisitorSession }): object {
    return { user: req.session.userId ?? null, cart: req.session.cart ?? [] };
  }

  @Get("bad")
  bad(@Session() session: VisitorSession): string {
    return fail(session);
  }
}

/** Fastify's request has Node's own as `raw`, which is the one that middleware sees. */
interface FastifyRequest {
  raw: { session: VisitorSession };
}

@Controller()
class FastifyController {
  @Get("count")
  count(@Req() req: FastifyRequest): string {
    return count(req.raw.session);
  }

  @Post("login")
  @HttpCode(200)
  login(@Req() req: FastifyRequest, @Body() body: { name: string }): Promise<object> {
    return login(req.raw.session, body.name);
  }

  @Post("logout")
  @HttpCode(200)
  async logout(@Req() req: FastifyRequest): Promise<object> {
    await req.raw.session.logout?.();
    return {};
  }

  @Get("me")
  me(@Req() req: FastifyRequest): object {
    return { user: req.raw.session.userId ?? null, cart: req.raw.session.cart ?? [] };
  }

  @Get("bad")
  bad(@Req() req: FastifyRequest): string {
    return fail(req.raw.session);
  }
}

@Module({ controllers: [ExpressController] })
class ExpressModule {}

@Module({ controllers: [FastifyController] })
class FastifyModule {}

/** As `main.ts` does it, before it listens. */
export async function create(
  platform: "express" | "fastify",
  middleware: Parameters<INestApplication["use"]>[0],
): Promise<INestApplication> {
  const application =
    platform === "express"
      ? await NestFactory.create(ExpressModule, new ExpressAdapter(), { logger: false })
      : await NestFactory.create(FastifyModule, new FastifyAdapter(), { logger: false });
  application.use(middleware);
  return application;
}

/** The package's types, and the package itself, as the compiler's module system loads it. */
export function sessions(options: SessionOptions): ReturnType<typeof session> {
  return session(options);
}
