# SPDX-License-Identifier: Apache-2.0
"""odil_get.py HOST PORT AE STUDY_UID FOLDER SOP_CLASS SYNTAX: a C-GET by odil, which shares no code
with ours. Prints the number of instances that came."""

import sys

import odil


def main(host, port, ae, study, folder, sop_class, syntax):
    roles = odil.AssociationParameters.PresentationContext.Role
    association = odil.Association()
    association.set_peer_host(host)
    association.set_peer_port(int(port))
    association.update_parameters().set_calling_ae_title("ODIL").set_called_ae_title(
        ae).set_presentation_contexts([
            odil.AssociationParameters.PresentationContext(
                odil.registry.StudyRootQueryRetrieveInformationModelGet,
                [odil.registry.ExplicitVRLittleEndian], roles.SCU),
            odil.AssociationParameters.PresentationContext(sop_class, [syntax], roles.SCP)])
    association.associate()
    query = odil.DataSet()
    query.add("QueryRetrieveLevel", ["STUDY"])
    query.add("StudyInstanceUID", [study])
    get = odil.GetSCU(association)
    get.set_affected_sop_class(odil.registry.StudyRootQueryRetrieveInformationModelGet)
    received = get.get(query)
    for i, data_set in enumerate(received):
        odil.Writer.write_file(data_set, f"{folder}/{i}.dcm", odil.DataSet(), syntax)
    association.release()
    print(len(received))


main(*sys.argv[1:])
