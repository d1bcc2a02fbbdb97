// Puts every kernel of tests/snapshots before Dawn, Chromium's WebGPU with the WGSL compiler Tint: a line a kernel, exit
// code 1 if one is refused. Files named on the command line are read instead: snapshots, or plain WGSL.
//
// A module is compiled and made a pipeline on the first adapter that Dawn takes; without one, on Dawn's null backend,
// which compiles and validates but generates no code for a device.

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);

const folder = join(import.meta.dirname, '..', 'snapshots');

function files() {
  if (process.argv.length > 2) {
    return process.argv.slice(2);
  }
  const names = readdirSync(folder).filter((name) => name.endsWith('.snap'));
  return names.sort().map((name) => join(folder, name));
}

// [name, WGSL] of each kernel: a snapshot holds insta's head, then comments, then a heading before every kernel, whose
// functions (all that stands before its entry point) may be those of the kernel before it.
function kernels(file) {
  const text = readFileSync(file, 'utf8');
  const name = basename(file).replace(/\.[a-z]+$/, '');
  if (!file.endsWith('.snap')) {
    return [[name, text]];
  }
  const parts = text.split(/^\/\/ == (.+) ==$/m).slice(1);
  const found = [];
  let above = '';
  for (let i = 0; i < parts.length; i += 2) {
    const code = parts[i + 1].replace(/^\/\/ functions as above$/m, () => above);
    above = code.match(/^fn [^]*?(?=^@compute)/m)?.[0] ?? '';
    // The standard wants to be told, and naga, which has them as well, must not be told yet.
    const enable = code.includes('subgroupBroadcast') ? 'enable subgroups;\n' : '';
    found.push([`${name} ${parts[i]}`, enable + code]);
  }
  return found;
}

// Devices die with the object that they came from, so it is kept for as long as the process runs.
let gpu;

async function open() {
  for (const options of [[], ['backend=null']]) {
    gpu = create(options);
    const adapter = await gpu.requestAdapter();
    if (adapter) {
      const { description, device } = adapter.info;
      console.log(`adapter: ${description || device}`);
      const requiredFeatures = ['subgroups'].filter((name) => adapter.features.has(name));
      return adapter.requestDevice({ requiredFeatures });
    }
  }
  throw new Error('Dawn has no adapter, not even its null backend');
}

// What Dawn says against a text: errors fail, warnings are told.
async function compile(device, code) {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code });
  const { messages } = await module.getCompilationInfo();
  const told = messages.map((m) => `${m.type} at ${m.lineNum}:${m.linePos}: ${m.message}`);
  let refused = messages.some((m) => m.type === 'error');
  if (!refused) {
    const compute = { module, entryPoint: 'main' };
    try {
      await device.createComputePipelineAsync({ layout: 'auto', compute });
    } catch (error) {
      refused = true;
      told.push(`no pipeline: ${error.message}`);
    }
  }
  const error = await device.popErrorScope();
  if (error && !refused) {
    refused = true;
    told.push(error.message);
  }
  return { refused, told };
}

const { version } = createRequire(import.meta.url)('webgpu/package.json');
console.log(`webgpu ${version}, node ${process.version}`);
const device = await open();
let all = 0;
let refused = 0;
for (const file of files()) {
  const found = kernels(file);
  if (found.length === 0) {
    console.log(`${file}: no kernel`);
    refused += 1;
  }
  for (const [name, code] of found) {
    const verdict = await compile(device, code);
    all += 1;
    refused += verdict.refused ? 1 : 0;
    console.log([`${name}: ${verdict.refused ? 'REFUSED' : 'ok'}`, ...verdict.told].join('\n  '));
  }
}
console.log(`${all} kernels, ${refused} refused`);
// Dawn's threads would keep the process alive.
process.exit(all > 0 && refused === 0 ? 0 : 1);
