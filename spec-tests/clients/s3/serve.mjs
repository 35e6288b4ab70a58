// A bucket named `media` that speaks S3, in the directory given. Its key is S3RVER, and so is the secret of that.
import S3rver from "s3rver";

const server = new S3rver({
    address: "127.0.0.1",
    port: 0,
    directory: process.argv[2],
    silent: true,
    configureBuckets: [{ name: "media" }],
});
const { port } = await server.run();
console.log(port);

// Whoever started this has gone.
process.stdin.on("end", () => process.exit());
process.stdin.resume();
