/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sop_classes.c - the tables behind sop_classes.h, and what transfer syntaxes can carry.
 *
 * Storage classes stand in strcmp order of their UIDs: they are searched by halves.
 */
#include "sop_classes.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct service_class {
    const char *uid;
    const char *name;
    sop_kind kind;
    query_model model;
} service_class;

static const service_class service_classes[] = {
    {UID_VERIFICATION, "Verification", SOP_VERIFICATION, MODEL_NONE},
    {UID_PATIENT_ROOT_FIND, "PatientRootFind", SOP_FIND, MODEL_PATIENT_ROOT},
    {UID_PATIENT_ROOT_MOVE, "PatientRootMove", SOP_MOVE, MODEL_PATIENT_ROOT},
    {UID_PATIENT_ROOT_GET, "PatientRootGet", SOP_GET, MODEL_PATIENT_ROOT},
    {UID_STUDY_ROOT_FIND, "StudyRootFind", SOP_FIND, MODEL_STUDY_ROOT},
    {UID_STUDY_ROOT_MOVE, "StudyRootMove", SOP_MOVE, MODEL_STUDY_ROOT},
    {UID_STUDY_ROOT_GET, "StudyRootGet", SOP_GET, MODEL_STUDY_ROOT},
    {UID_COMPOSITE_MOVE, "CompositeInstanceRootMove", SOP_MOVE, MODEL_COMPOSITE},
    {UID_COMPOSITE_GET, "CompositeInstanceRootGet", SOP_GET, MODEL_COMPOSITE},
    {UID_WITHOUT_BULK_GET, "CompositeInstanceWithoutBulkDataGet", SOP_GET, MODEL_WITHOUT_BULK},
};

typedef struct storage_class {
    const char *uid;
    const char *name;
} storage_class;

/* PS3.4 table B.5-1, table GG.3-1 and the retired ones of PS3.6 table A-1. */
static const storage_class storage_classes[] = {
    {"1.2.840.10008.5.1.1.27", "StoredPrintStorage"},
    {"1.2.840.10008.5.1.1.29", "HardcopyGrayscaleImageStorage"},
    {"1.2.840.10008.5.1.1.30", "HardcopyColorImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.1", "ComputedRadiographyImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.1.1", "DigitalXRayImageStorageForPresentation"},
    {"1.2.840.10008.5.1.4.1.1.1.1.1", "DigitalXRayImageStorageForProcessing"},
    {"1.2.840.10008.5.1.4.1.1.1.2", "DigitalMammographyXRayImageStorageForPresentation"},
    {"1.2.840.10008.5.1.4.1.1.1.2.1", "DigitalMammographyXRayImageStorageForProcessing"},
    {"1.2.840.10008.5.1.4.1.1.1.3", "DigitalIntraOralXRayImageStorageForPresentation"},
    {"1.2.840.10008.5.1.4.1.1.1.3.1", "DigitalIntraOralXRayImageStorageForProcessing"},
    {"1.2.840.10008.5.1.4.1.1.10", "StandaloneModalityLUTStorage"},
    {"1.2.840.10008.5.1.4.1.1.104.1", "EncapsulatedPDFStorage"},
    {"1.2.840.10008.5.1.4.1.1.104.2", "EncapsulatedCDAStorage"},
    {"1.2.840.10008.5.1.4.1.1.104.3", "EncapsulatedSTLStorage"},
    {"1.2.840.10008.5.1.4.1.1.104.4", "EncapsulatedOBJStorage"},
    {"1.2.840.10008.5.1.4.1.1.104.5", "EncapsulatedMTLStorage"},
    {"1.2.840.10008.5.1.4.1.1.11", "StandaloneVOILUTStorage"},
    {"1.2.840.10008.5.1.4.1.1.11.1", "GrayscaleSoftcopyPresentationStateStorage"},
    {"1.2.840.10008.5.1.4.1.1.11.10", "SegmentedVolumeRenderingVolumetricPresentationStateStorage"},
    {"1.2.840.10008.5.1.4.1.1.11.11", "MultipleVolumeRenderingVolumetricPresentationStateStorage"},
    {"1.2.840.10008.5.1.4.1.1.11.12", "VariableModalityLUTSoftcopyPresentationStateStorage"},
    {"1.2.840.10008.5.1.4.1.1.11.2", "ColorSoftcopyPresentationStateStorage"},
    {"1.2.840.10008.5.1.4.1.1.11.3", "PseudoColorSoftcopyPresentationStateStorage"},
    {"1.2.840.10008.5.1.4.1.1.11.4", "BlendingSoftcopyPresentationStateStorage"},
    {"1.2.840.10008.5.1.4.1.1.11.5", "XAXRFGrayscaleSoftcopyPresentationStateStorage"},
    {"1.2.840.10008.5.1.4.1.1.11.6", "GrayscalePlanarMPRVolumetricPresentationStateStorage"},
    {"1.2.840.10008.5.1.4.1.1.11.7", "CompositingPlanarMPRVolumetricPresentationStateStorage"},
    {"1.2.840.10008.5.1.4.1.1.11.8", "AdvancedBlendingPresentationStateStorage"},
    {"1.2.840.10008.5.1.4.1.1.11.9", "VolumeRenderingVolumetricPresentationStateStorage"},
    {"1.2.840.10008.5.1.4.1.1.12.1", "XRayAngiographicImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.12.1.1", "EnhancedXAImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.12.2", "XRayRadiofluoroscopicImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.12.2.1", "EnhancedXRFImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.12.3", "XRayAngiographicBiPlaneImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.128", "PositronEmissionTomographyImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.128.1", "LegacyConvertedEnhancedPETImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.129", "StandalonePETCurveStorage"},
    {"1.2.840.10008.5.1.4.1.1.13.1.1", "XRay3DAngiographicImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.13.1.2", "XRay3DCraniofacialImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.13.1.3", "BreastTomosynthesisImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.13.1.4", "BreastProjectionXRayImageStorageForPresentation"},
    {"1.2.840.10008.5.1.4.1.1.13.1.5", "BreastProjectionXRayImageStorageForProcessing"},
    {"1.2.840.10008.5.1.4.1.1.130", "EnhancedPETImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.131", "BasicStructuredDisplayStorage"},
    {"1.2.840.10008.5.1.4.1.1.14.1",
     "IntravascularOpticalCoherenceTomographyImageStorageForPresentation"},
    {"1.2.840.10008.5.1.4.1.1.14.2",
     "IntravascularOpticalCoherenceTomographyImageStorageForProcessing"},
    {"1.2.840.10008.5.1.4.1.1.2", "CTImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.2.1", "EnhancedCTImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.2.2", "LegacyConvertedEnhancedCTImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.20", "NuclearMedicineImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.200.1", "CTDefinedProcedureProtocolStorage"},
    {"1.2.840.10008.5.1.4.1.1.200.2", "CTPerformedProcedureProtocolStorage"},
    {"1.2.840.10008.5.1.4.1.1.200.3", "ProtocolApprovalStorage"},
    {"1.2.840.10008.5.1.4.1.1.200.7", "XADefinedProcedureProtocolStorage"},
    {"1.2.840.10008.5.1.4.1.1.200.8", "XAPerformedProcedureProtocolStorage"},
    {"1.2.840.10008.5.1.4.1.1.201.1", "InventoryStorage"},
    {"1.2.840.10008.5.1.4.1.1.3", "UltrasoundMultiframeImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.3.1", "UltrasoundMultiframeImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.30", "ParametricMapStorage"},
    {"1.2.840.10008.5.1.4.1.1.4", "MRImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.4.1", "EnhancedMRImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.4.2", "MRSpectroscopyStorage"},
    {"1.2.840.10008.5.1.4.1.1.4.3", "EnhancedMRColorImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.4.4", "LegacyConvertedEnhancedMRImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.1", "RTImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.10", "RTPhysicianIntentStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.11", "RTSegmentAnnotationStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.12", "RTRadiationSetStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.13", "CArmPhotonElectronRadiationStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.14", "TomotherapeuticRadiationStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.15", "RoboticArmRadiationStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.16", "RTRadiationRecordSetStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.17", "RTRadiationSalvageRecordStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.18", "TomotherapeuticRadiationRecordStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.19", "CArmPhotonElectronRadiationRecordStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.2", "RTDoseStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.20", "RoboticRadiationRecordStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.21", "RTRadiationSetDeliveryInstructionStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.22", "RTTreatmentPreparationStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.23", "EnhancedRTImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.24", "EnhancedContinuousRTImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.25", "RTPatientPositionAcquisitionInstructionStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.3", "RTStructureSetStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.4", "RTBeamsTreatmentRecordStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.5", "RTPlanStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.6", "RTBrachyTreatmentRecordStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.7", "RTTreatmentSummaryRecordStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.8", "RTIonPlanStorage"},
    {"1.2.840.10008.5.1.4.1.1.481.9", "RTIonBeamsTreatmentRecordStorage"},
    {"1.2.840.10008.5.1.4.1.1.5", "NuclearMedicineImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.6", "UltrasoundImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.6.1", "UltrasoundImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.6.2", "EnhancedUSVolumeStorage"},
    {"1.2.840.10008.5.1.4.1.1.6.3", "PhotoacousticImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.66", "RawDataStorage"},
    {"1.2.840.10008.5.1.4.1.1.66.1", "SpatialRegistrationStorage"},
    {"1.2.840.10008.5.1.4.1.1.66.2", "SpatialFiducialsStorage"},
    {"1.2.840.10008.5.1.4.1.1.66.3", "DeformableSpatialRegistrationStorage"},
    {"1.2.840.10008.5.1.4.1.1.66.4", "SegmentationStorage"},
    {"1.2.840.10008.5.1.4.1.1.66.5", "SurfaceSegmentationStorage"},
    {"1.2.840.10008.5.1.4.1.1.66.6", "TractographyResultsStorage"},
    {"1.2.840.10008.5.1.4.1.1.66.7", "LabelMapSegmentationStorage"},
    {"1.2.840.10008.5.1.4.1.1.66.8", "HeightMapSegmentationStorage"},
    {"1.2.840.10008.5.1.4.1.1.67", "RealWorldValueMappingStorage"},
    {"1.2.840.10008.5.1.4.1.1.68.1", "SurfaceScanMeshStorage"},
    {"1.2.840.10008.5.1.4.1.1.68.2", "SurfaceScanPointCloudStorage"},
    {"1.2.840.10008.5.1.4.1.1.7", "SecondaryCaptureImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.7.1", "MultiframeSingleBitSecondaryCaptureImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.7.2", "MultiframeGrayscaleByteSecondaryCaptureImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.7.3", "MultiframeGrayscaleWordSecondaryCaptureImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.7.4", "MultiframeTrueColorSecondaryCaptureImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1", "VLImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.1", "VLEndoscopicImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.1.1", "VideoEndoscopicImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.2", "VLMicroscopicImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.2.1", "VideoMicroscopicImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.3", "VLSlideCoordinatesMicroscopicImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.4", "VLPhotographicImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.4.1", "VideoPhotographicImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.5.1", "OphthalmicPhotography8BitImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.5.2", "OphthalmicPhotography16BitImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.5.3", "StereometricRelationshipStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.5.4", "OphthalmicTomographyImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.5.5",
     "WideFieldOphthalmicPhotographyStereographicProjectionImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.5.6", "WideFieldOphthalmicPhotography3DCoordinatesImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.5.7", "OphthalmicOpticalCoherenceTomographyEnFaceImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.5.8",
     "OphthalmicOpticalCoherenceTomographyBscanVolumeAnalysisStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.6", "VLWholeSlideMicroscopyImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.7", "DermoscopicPhotographyImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.8", "ConfocalMicroscopyImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.1.9", "ConfocalMicroscopyTiledPyramidalImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.77.2", "VLMultiframeImageStorage"},
    {"1.2.840.10008.5.1.4.1.1.78.1", "LensometryMeasurementsStorage"},
    {"1.2.840.10008.5.1.4.1.1.78.2", "AutorefractionMeasurementsStorage"},
    {"1.2.840.10008.5.1.4.1.1.78.3", "KeratometryMeasurementsStorage"},
    {"1.2.840.10008.5.1.4.1.1.78.4", "SubjectiveRefractionMeasurementsStorage"},
    {"1.2.840.10008.5.1.4.1.1.78.5", "VisualAcuityMeasurementsStorage"},
    {"1.2.840.10008.5.1.4.1.1.78.6", "SpectaclePrescriptionReportStorage"},
    {"1.2.840.10008.5.1.4.1.1.78.7", "OphthalmicAxialMeasurementsStorage"},
    {"1.2.840.10008.5.1.4.1.1.78.8", "IntraocularLensCalculationsStorage"},
    {"1.2.840.10008.5.1.4.1.1.79.1", "MacularGridThicknessAndVolumeReportStorage"},
    {"1.2.840.10008.5.1.4.1.1.8", "StandaloneOverlayStorage"},
    {"1.2.840.10008.5.1.4.1.1.80.1", "OphthalmicVisualFieldStaticPerimetryMeasurementsStorage"},
    {"1.2.840.10008.5.1.4.1.1.81.1", "OphthalmicThicknessMapStorage"},
    {"1.2.840.10008.5.1.4.1.1.82.1", "CornealTopographyMapStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.11", "BasicTextSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.22", "EnhancedSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.33", "ComprehensiveSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.34", "Comprehensive3DSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.35", "ExtensibleSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.40", "ProcedureLogStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.50", "MammographyCADSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.59", "KeyObjectSelectionDocumentStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.65", "ChestCADSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.67", "XRayRadiationDoseSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.68", "RadiopharmaceuticalRadiationDoseSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.69", "ColonCADSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.70", "ImplantationPlanSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.71", "AcquisitionContextSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.72", "SimplifiedAdultEchoSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.73", "PatientRadiationDoseSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.74", "PlannedImagingAgentAdministrationSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.75", "PerformedImagingAgentAdministrationSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.76", "EnhancedXRayRadiationDoseSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.88.77", "WaveformAnnotationSRStorage"},
    {"1.2.840.10008.5.1.4.1.1.9", "StandaloneCurveStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.1.1", "TwelveLeadECGWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.1.2", "GeneralECGWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.1.3", "AmbulatoryECGWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.1.4", "General32BitECGWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.2.1", "HemodynamicWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.3.1", "CardiacElectrophysiologyWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.4.1", "BasicVoiceAudioWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.4.2", "GeneralAudioWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.5.1", "ArterialPulseWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.6.1", "RespiratoryWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.6.2", "MultichannelRespiratoryWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.7.1", "RoutineScalpElectroencephalogramWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.7.2", "ElectromyogramWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.7.3", "ElectrooculogramWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.7.4", "SleepElectroencephalogramWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.9.8.1", "BodyPositionWaveformStorage"},
    {"1.2.840.10008.5.1.4.1.1.90.1", "ContentAssessmentResultsStorage"},
    {"1.2.840.10008.5.1.4.1.1.91.1", "MicroscopyBulkSimpleAnnotationsStorage"},
    {"1.2.840.10008.5.1.4.34.10", "RTBrachyApplicationSetupDeliveryInstructionStorage"},
    {"1.2.840.10008.5.1.4.34.7", "RTBeamsDeliveryInstructionStorage"},
    {"1.2.840.10008.5.1.4.38.1", "HangingProtocolStorage"},
    {"1.2.840.10008.5.1.4.39.1", "ColorPaletteStorage"},
    {"1.2.840.10008.5.1.4.43.1", "GenericImplantTemplateStorage"},
    {"1.2.840.10008.5.1.4.44.1", "ImplantAssemblyTemplateStorage"},
    {"1.2.840.10008.5.1.4.45.1", "ImplantTemplateGroupStorage"},
};

static const service_class *find_service_class(const char *uid)
{
    for (size_t i = 0; i < sizeof service_classes / sizeof service_classes[0]; i++) {
        if (strcmp(service_classes[i].uid, uid) == 0)
            return &service_classes[i];
    }
    return NULL;
}

static int compare_storage_class(const void *uid, const void *row)
{
    return strcmp(uid, ((const storage_class *)row)->uid);
}

static const storage_class *find_storage_class(const char *uid)
{
    return bsearch(uid, storage_classes, sizeof storage_classes / sizeof storage_classes[0],
                   sizeof storage_classes[0], compare_storage_class);
}

sop_kind sop_class_kind(const char *uid)
{
    const service_class *row = find_service_class(uid);
    if (row != NULL)
        return row->kind;
    return find_storage_class(uid) != NULL ? SOP_STORAGE : SOP_UNKNOWN;
}

query_model sop_class_model(const char *uid)
{
    const service_class *row = find_service_class(uid);
    return row != NULL ? row->model : MODEL_NONE;
}

const char *sop_class_name(const char *uid)
{
    const service_class *service = find_service_class(uid);
    if (service != NULL)
        return service->name;
    const storage_class *storage = find_storage_class(uid);
    return storage != NULL ? storage->name : uid;
}

static bool is_htj2k(const char *uid)
{
    return strcmp(uid, UID_HTJ2K_LOSSLESS) == 0 || strcmp(uid, UID_HTJ2K_LOSSLESS_RPCL) == 0 ||
           strcmp(uid, UID_HTJ2K) == 0;
}

bool transfer_syntax_carries(const char *accepted, const char *instance)
{
    if (strcmp(accepted, instance) == 0)
        return true;
    if (strcmp(accepted, UID_HTJ2K) == 0)
        return is_htj2k(instance);
    static const struct {
        const char *accepted, *instance;
    } wider[] = {{UID_HTJ2K_LOSSLESS, UID_HTJ2K_LOSSLESS_RPCL},
                 {UID_J2K, UID_J2K_LOSSLESS},
                 {UID_JPEG_LOSSLESS, UID_JPEG_LOSSLESS_SV1}};
    for (size_t i = 0; i < sizeof wider / sizeof wider[0]; i++) {
        if (strcmp(accepted, wider[i].accepted) == 0 && strcmp(instance, wider[i].instance) == 0)
            return true;
    }
    return false;
}

/* PS3.6 table A-1; those that hold an instance as a whole. */
static const struct {
    const char *uid, *keyword;
} transfer_syntaxes[] = {
    {UID_IMPLICIT_LE, "ImplicitVRLittleEndian"},
    {UID_EXPLICIT_LE, "ExplicitVRLittleEndian"},
    {UID_DEFLATED, "DeflatedExplicitVRLittleEndian"},
    {UID_EXPLICIT_BE, "ExplicitVRBigEndian"},
    {"1.2.840.10008.1.2.4.50", "JPEGBaseline8Bit"},
    {"1.2.840.10008.1.2.4.51", "JPEGExtended12Bit"},
    {"1.2.840.10008.1.2.4.57", "JPEGLossless"},
    {"1.2.840.10008.1.2.4.70", "JPEGLosslessSV1"},
    {"1.2.840.10008.1.2.4.80", "JPEGLSLossless"},
    {"1.2.840.10008.1.2.4.81", "JPEGLSNearLossless"},
    {"1.2.840.10008.1.2.4.90", "JPEG2000Lossless"},
    {"1.2.840.10008.1.2.4.91", "JPEG2000"},
    {"1.2.840.10008.1.2.4.100", "MPEG2MPML"},
    {"1.2.840.10008.1.2.4.101", "MPEG2MPHL"},
    {"1.2.840.10008.1.2.4.102", "MPEG4HP41"},
    {"1.2.840.10008.1.2.4.103", "MPEG4HP41BD"},
    {"1.2.840.10008.1.2.4.104", "MPEG4HP422D"},
    {"1.2.840.10008.1.2.4.105", "MPEG4HP423D"},
    {"1.2.840.10008.1.2.4.106", "MPEG4HP42STEREO"},
    {"1.2.840.10008.1.2.4.107", "HEVCMP51"},
    {"1.2.840.10008.1.2.4.108", "HEVCM10P51"},
    {UID_HTJ2K_LOSSLESS, "HTJ2KLossless"},
    {UID_HTJ2K_LOSSLESS_RPCL, "HTJ2KLosslessRPCL"},
    {UID_HTJ2K, "HTJ2K"},
    {"1.2.840.10008.1.2.5", "RLELossless"},
};

const char *transfer_syntax_uid(const char *text)
{
    for (size_t i = 0; i < sizeof transfer_syntaxes / sizeof transfer_syntaxes[0]; i++) {
        if (strcasecmp(transfer_syntaxes[i].keyword, text) == 0 ||
            strcmp(transfer_syntaxes[i].uid, text) == 0)
            return transfer_syntaxes[i].uid;
    }
    return NULL;
}
