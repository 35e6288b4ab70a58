// Bundles the page and serves it with the SDK's assets, on a free port of 127.0.0.1.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const sdk = join(here, "node_modules/hydrogen-view-sdk");
const olm = join(here, "node_modules/@matrix-org/olm");

const TYPES = {
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
};

/** The page's URL and what ends it. */
export async function serve() {
    const bundle = await build({
        entryPoints: [join(here, "page/app.js")],
        bundle: true,
        format: "iife",
        write: false,
        // What olm.js asks for where there is no browser.
        external: ["crypto", "fs", "path"],
        logLevel: "error",
    });
    const server = createServer(async (request, response) => {
        const { pathname } = new URL(request.url, "http://page");
        try {
            const body = pathname === "/app.js" ? bundle.outputFiles[0].contents : await readFile(file(pathname));
            response.writeHead(200, { "content-type": TYPES[extname(pathname)] ?? TYPES[".html"] }).end(body);
        } catch {
            response.writeHead(404).end();
        }
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/** A URL's path has no `..` left, so nothing outside of these folders is served. */
function file(pathname) {
    const [, folder, name] = /^\/(?:(theme|olm)\/)?([^/]*)$/.exec(pathname) ?? [];
    if (folder === "theme") return join(sdk, "asset-build/assets", name);
    if (folder === "olm") return join(olm, name);
    if (name === "sw.js") return join(sdk, "lib-build/sw.js");
    return join(here, "page/index.html");
}
