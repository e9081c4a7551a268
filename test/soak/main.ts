/** npm run soak -- [--minutes N] [--docs]: see README.md. */
import { arch, cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { type ApiGuest, apiGuest } from "../e2e/api-client.ts";
import { Lab } from "../lab/lab.ts";
import { grown, look, lookAtRest, type Sample } from "./figures.ts";
import { type Load, makeLoad } from "./load.ts";
import { type Soak, sentence, writeDocs } from "./report.ts";

/** Time under load between two rests, in ms: half a minute, less in a short run, which needs some rests, too. */
const PHASE = 30_000;
const PHASES = 8;
const LOOK_EVERY = 5_000;

function minutesAsked(): { minutes: number; docs: boolean } {
  const options = {
    minutes: { type: "string", default: "3" },
    docs: { type: "boolean", default: false },
  } as const;
  const { values } = parseArgs({ options });
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new Error(`--minutes ${values.minutes}: give a number above 0`);
  return { minutes, docs: values.docs };
}

interface Setting {
  readonly lab: Lab;
  readonly api: ApiGuest;
  readonly load: Load;
}

async function soak({ lab, api, load }: Setting, minutes: number): Promise<Sample[]> {
  const start = performance.now();
  const now = () => (performance.now() - start) / 1000;
  const samples: Sample[] = [];
  const phase = Math.min(PHASE, (minutes * 60_000) / PHASES);
  while (now() < minutes * 60) {
    const watch = setInterval(async () => {
      samples.push(await look(lab, api, now(), load.totals));
    }, LOOK_EVERY);
    await load.until(performance.now() + phase);
    clearInterval(watch);
    const rest = await lookAtRest(lab, api, now, load.totals);
    samples.push(rest);
    console.log(sentence(rest));
  }
  return samples.sort((a, b) => a.at - b.at);
}

const { minutes, docs } = minutesAsked();
await using lab = await Lab.create();
const api = await apiGuest(lab, { ipv6: true });
const load = await makeLoad(lab, api);
const samples = await soak({ lab, api, load }, minutes);
const result: Soak = {
  date: new Date().toISOString(),
  machine: `${cpus().length} × ${cpus()[0]?.model ?? arch()}, Linux ${release()}`,
  minutes,
  totals: load.totals,
  samples,
};
if (docs) writeDocs(result);
console.log(JSON.stringify(load.totals));
const complaints = grown(samples);
for (const complaint of complaints) console.error(`soak: ${complaint}`);
process.exitCode = complaints.length > 0 ? 1 : 0;
await api.guest.close();
