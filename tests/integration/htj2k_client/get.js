// SPDX-License-Identifier: Apache-2.0
// get.js HOST PORT AE STUDY_UID FOLDER SOP_CLASS[,SOP_CLASS] SYNTAX[,SYNTAX]
// Retrieves a study by C-GET, proposing each SOP class with just those transfer syntaxes. Writes
// each instance to FOLDER and prints one JSON object: the final status and the counts.
"use strict";
const path = require("path");
const dimse = require("dcmjs-dimse");
const { CGetRequest } = dimse.requests;
const { CStoreResponse } = dimse.responses;
const { Status } = dimse.constants;

const [host, port, ae, study, folder, sopClasses, syntaxes] = process.argv.slice(2);
dimse.log.disableAll();

const request = CGetRequest.createStudyGetRequest(study);
request.setAddStorageSopClassesToAssociation(false);
const outcome = { status: null, completed: null, failed: null, warnings: null, received: [] };
request.on("response", (response) => {
  if (response.getStatus() !== Status.Pending) {
    outcome.status = response.getStatus();
    outcome.completed = response.getCompleted();
    outcome.failed = response.getFailures();
    outcome.warnings = response.getWarnings();
  }
});

const client = new dimse.Client();
for (const sopClass of sopClasses.split(",")) {
  const context = new dimse.association.PresentationContext(0, sopClass);
  for (const syntax of syntaxes.split(",")) context.addTransferSyntaxUid(syntax);
  context.setProviderRole(true);
  client.addAdditionalPresentationContext(context, true);
}
client.on("cStoreRequest", (store, callback) => {
  const dataset = store.getDataset();
  const name = `${outcome.received.length}.dcm`;
  outcome.received.push({ name, syntax: dataset.getTransferSyntaxUid() });
  dataset.toFile(path.join(folder, name));
  const response = CStoreResponse.fromRequest(store);
  response.setStatus(Status.Success);
  callback(response);
});
client.on("networkError", (error) => {
  process.stderr.write(`${error}\n`);
  process.exit(1);
});
client.on("closed", () => {
  process.stdout.write(JSON.stringify(outcome));
});
client.addRequest(request);
client.send(host, Number(port), "HTJ2KSCU", ae);
