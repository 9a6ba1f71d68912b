/** Preloaded into the site's process: a test says by a message how many milliseconds later it is. */
const realNow = Date.now;
let later = 0;
Date.now = () => realNow() + later;

process.on("message", (ms) => {
  later += Number(ms);
  process.send?.(later);
});
process.channel?.unref(); // the site ends as it would without a test that listens
